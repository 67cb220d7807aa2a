"""Image files <-> gray films, films <-> squares, and what can be said of one film or one lung mask.

In: PNG, JPEG, TIFF, DICOM files. Out: uint8 arrays with their affine, clean masks. Called by: every script with films.
"""
