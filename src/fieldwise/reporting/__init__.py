"""What the library says and shows: words and bars, tables, figures.

reporter     the object that code talks to
console      the handler that shows what is logged, for as long as it is wanted
progress     bars
tables       text in rows and columns, as a terminal, Markdown and HTML show it
figures      new figures, saved in one way
labels       names of points in a picture, placed where there is room
"""

from fieldwise.reporting.progress import Progress
from fieldwise.reporting.reporter import Reporter
from fieldwise.reporting.tables import Section, markdown_row, markdown_table

__all__ = ["Progress", "Reporter", "Section", "markdown_row", "markdown_table"]
