"""Image files <-> gray films, films <-> squares, and what can be said of one film.

In: PNG, JPEG, TIFF, DICOM files. Out: uint8 arrays with their affine. Called by: every script with films.
"""
