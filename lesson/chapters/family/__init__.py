"""Any two cells of the family side by side."""

ORDER = 200
APPENDIX = True
