"""An application in a package, found by a path."""


class Site:
    def application(self, _environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [__name__.encode()]


site = Site()
