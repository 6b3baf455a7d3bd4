"""From a plan to a published data set: read, learn, augment, write, publish."""
