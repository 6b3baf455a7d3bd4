"""Code of the user: functions and steps of their own, and the modules that these import."""
