"""A Flask application, for a real uWSGI server to run."""

from flask import Flask, jsonify, redirect, request, url_for

app = Flask(__name__)


@app.get("/")
def home():
    return "Flask says hello\n"


@app.get("/there")
def there():
    return redirect(url_for("home", _external=True))


@app.post("/form")
def form():
    return jsonify(fields=request.form, file=len(request.files["file"].read()))


@app.get("/cookie")
def cookie():
    response = jsonify(request.cookies)
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@app.post("/unread")
def unread():
    return "not read", 413
