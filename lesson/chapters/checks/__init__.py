"""What was tried on the cell while the page was built."""

ORDER = 230
APPENDIX = True
