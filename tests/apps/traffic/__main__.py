"""python3 -m traffic --tls PORT --plain PORT --kept TOKEN --authority FILE: plays against either twin of the shop.

Prints one JSON object for the phase of ordinary use and one for each attack; what it says of an attack is ground truth.
Fails when ordinary use is not answered as it should be. The same for both twins: it does not know which it meets.
"""
import argparse
import json
import ssl
import time

from traffic import ordinary
from traffic.attacks import Attacks
from traffic.talk import Shop


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", type=int, required=True)
    parser.add_argument("--plain", type=int, required=True)
    parser.add_argument("--kept", required=True)
    parser.add_argument("--authority", required=True)
    given = parser.parse_args()
    shop = Shop(given.tls, given.plain, ssl.create_default_context(cafile=given.authority))
    started = time.monotonic()
    cast = ordinary.play(shop)
    print(json.dumps({"phase": "ordinary", "exchanges": shop.asked, "seconds": round(time.monotonic() - started, 1)}))
    for step in Attacks(shop, cast, given.kept).all():
        print(json.dumps(step.line()), flush=True)
    print(json.dumps({"phase": "end", "exchanges": shop.asked, "seconds": round(time.monotonic() - started, 1)}))


if __name__ == "__main__":
    main()
