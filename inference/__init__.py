"""Series in; findings and DICOM results out.

A library: it knows neither the node that calls it nor the systems that its results go to.
Read `analysis.analyse` first; it is the whole pipeline on one screen.
"""
