"""Every number of a one-unit cell can be moved."""

ORDER = 205
APPENDIX = True
