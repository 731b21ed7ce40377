"""judgelab: build an LLM judge that shadows your domain expert, and know how good it is."""

__version__ = "0.1.0"
