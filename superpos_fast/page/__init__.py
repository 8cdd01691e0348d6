"""A report as one page of HTML that needs nothing else: no network, no fonts, no libraries.

findings -> sections -> page     what was found; tables and figures; the whole
            figures              pictures of matplotlib as SVG in the page's own colours
            markup               elements and numbers, escaped
page.css, page.js                colours for light and dark; tables sort where scripts run
"""
