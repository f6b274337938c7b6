"""Brain tissue segmentation, trained across hospitals."""
