"""The main job: shipped or generated events, one plan, two worker processes, one published data set, one picture."""
