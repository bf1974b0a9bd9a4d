"""The role that receives orders and merges: messages of HL7 version 2 over MLLP."""
