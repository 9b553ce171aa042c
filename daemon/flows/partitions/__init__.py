"""Who has an input partition: `sharing` starts one way for each that the group gives us.

A way begins with `handing_over`, in which a predecessor that is well finishes what it has announced; then
`taking_over` reads what is left.
"""
