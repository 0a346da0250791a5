"""A small site in Flask."""

import time

from flask import Flask, Response, jsonify, redirect, request, session, stream_with_context

app = Flask(__name__)
app.secret_key = "for tests"


@app.post("/form")
def form():
    return jsonify({name: request.form.getlist(name) for name in request.form})


@app.get("/count")
def count():
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])


@app.post("/upload")
def upload():
    file = request.files["file"]
    return jsonify(name=file.filename, size=len(file.read()), word=request.form["word"])


@app.get("/stream")
def stream():
    def pieces():
        for number in range(3):
            yield "%s %d\n" % (request.args["word"], number)
            time.sleep(0.2)

    return Response(stream_with_context(pieces()), mimetype="text/plain")


@app.get("/there")
def there():
    return redirect("/count")


@app.get("/boom")
def boom():
    raise LookupError("nobody is there")
