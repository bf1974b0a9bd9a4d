"""A result as DICOM objects: built, checked, written.

`set.build` makes the objects of one result, `gate.check` refuses those that are not fit to be sent, and
`set.write` puts their bytes into a folder. A further kind of object is one more module beside
`segmentation` and `report`, and one more line in `set.build`.
"""
