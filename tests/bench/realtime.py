"""See realtime.sh. Arguments: the port of a service that is empty, and its key."""
import datetime
import http.client
import json
import sys
import time

EVENTS = 300
PROMISE_MS = 1000
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=100)


def ask(method, path, body=None, media="application/json"):
    """The answer's JSON, and when it had come."""
    connection.request(method, path, body, {"Authorization": "Bearer " + sys.argv[2], "Content-Type": media})
    answer = connection.getresponse()
    text = answer.read()
    at = time.time()
    if answer.status >= 300:
        sys.exit("realtime: %s %s was answered %d: %s" % (method, path, answer.status, text[:300]))
    return json.loads(text), at


def event(customer, number):
    return {"customer_id": "v%d" % customer, "type": "page_viewed", "event_id": "%d-%d" % (customer, number)}


# Half of them have seen one page, half of them 60; a segmentation tells them apart. The first half then sees as many.
rows = [event(c, n) for c in range(2 * EVENTS) for n in range(1 if c < EVENTS else 60)]
ask("POST", "/v1/imports/events", "".join(json.dumps(r) + "\n" for r in rows), "application/x-ndjson")
job, _ = ask("POST", "/v1/jobs", json.dumps({"kind": "train.segments", "params": {
    "name": "activity", "k": 2, "seed": 1, "features": ["engagement_page_viewed"]}}))
while job["state"] in ("queued", "running"):
    time.sleep(0.1)
    job, _ = ask("GET", "/v1/jobs/" + job["id"])
if job["state"] != "succeeded":
    sys.exit("realtime: the training ended as %s" % job["state"])
answered = {}
for c in range(EVENTS):
    _, answered["v%d" % c] = ask("POST", "/v1/events", json.dumps([event(c, 1 + n) for n in range(59)]))
took = []
until = time.time() + 60
for customer, at in answered.items():
    history = []
    while len(history) < 3 and time.time() < until:  # entered the one, left it, entered the other
        history = ask("GET", "/v1/customers/%s/history" % customer)[0]["data"]
    if len(history) == 3:
        moved = datetime.datetime.fromisoformat(history[0]["at"].replace("Z", "+00:00")).timestamp()
        took.append(max(0.0, 1e3 * (moved - at)))
took.sort()
kept = len(took) == EVENTS and took[len(took) * 99 // 100] < PROMISE_MS
p50, p99 = (took[len(took) // 2], took[len(took) * 99 // 100]) if took else (0, 0)
print("%-30s %12.0fms %12s %8s  %-7s %s" % ("event to changed segment", p99, "", "", "ok" if kept else "FAILED",
      "99 %% of %d within %d ms (half of them within %.0f ms, the slowest %.0f ms)" % (len(took), PROMISE_MS, p50, took[-1] if took else 0)))
sys.exit(0 if kept else 1)
