"""What `atomos.debug` is made of.

It is built on all of the library, which knows nothing of it. Imports go one way, each
module from those before it::

    _places _prints _warnings _guarded _mutation _effects _skew, then `debug`
"""
