"""The owner's side of sealed content: key born, archive encrypted, manifest made (protocol section 3).

Keys leave this room only into the owner's keystore (section 5.3).
"""
