"""What stands behind the Makefile: ``python3 -m tools COMMAND``.

Everything that runs before the virtual environment exists (``__main__``, ``needs``, ``interpreters``,
``environments``, ``dependencies``, ``screen``) uses the standard library only and works from Python 3.9 on.
"""
