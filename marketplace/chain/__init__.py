"""The only room that knows an RPC URL: logs become domain objects, domain objects become transactions.

Nothing heavy is imported at the top of any module: importing the reader costs some tens of milliseconds,
web3 would cost a second.
"""
