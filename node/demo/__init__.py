"""A hospital on this machine: a modality, an archive, an EHR, and the node between them.

The head is Colin 27, a template of one real head whose notice allows copying (``NOTICE``); name, number
and dates are invented.
"""
