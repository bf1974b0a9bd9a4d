"""The steps of a study's way, one function each, in its order.

receive → assemble → dispatch → prepare → analyse → deliver.
"""
