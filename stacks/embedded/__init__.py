"""The embedded cloud: the real Pulumi engine on stand-in providers of ours. It is no claim about AWS."""

NOTICE = "This is the embedded cloud: the real Pulumi engine on stand-ins of this repository. It is not AWS, and no claim about it."
ACCOUNT = "123456789012"  # AWS's documentation account
