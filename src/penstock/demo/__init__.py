"""The main job in a scratch project: from a merge request to production and back, with every command shown."""
