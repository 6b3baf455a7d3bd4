"""Where events come from: what a plan says of them, the files there are, what is in them, and how parts are read."""
