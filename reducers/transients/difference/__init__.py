"""What has changed since a template was taken: one image taken off another."""
