"""The application. The rooms follow the study's way.

``dicom`` receives, ``pipeline`` holds the steps one by one, ``store`` keeps, ``worker`` runs what is owed,
``web`` shows; ``core`` decides and touches nothing; ``bootstrap`` is the one place that wires them.
"""
