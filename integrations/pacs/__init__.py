"""DICOM peers: send instances to an archive, and ask it what it holds."""
