"""imaging-api: a project's studies from the PACS to NIfTI files, inside the trust."""
