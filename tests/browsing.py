"""What an annotator does in a real browser; runs in Label Studio's environment, which has Playwright.

    python browsing.py URL EMAIL PROJECT TASK PICTURE CAPTION...

Opens a task, takes a picture of it, ticks the captions and submits. The password comes on standard input; what was seen goes to standard output.
"""

from __future__ import annotations

import json
import shutil
import sys

from playwright.sync_api import sync_playwright


def main(url: str, email: str, project: str, task: str, picture: str, *captions: str) -> None:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_default_timeout(90_000)
        page.goto(f"{url}/user/login")
        page.fill("input[name=email]", email)
        page.fill("input[name=password]", sys.stdin.readline().strip())
        page.click("button[type=submit]")
        page.wait_for_url(lambda at: "/user/login" not in at)
        page.goto(f"{url}/projects/{project}/data?task={task}")
        submit = page.get_by_role("button", name="Submit").first
        submit.wait_for()
        page.wait_for_timeout(1500)  # what is ticked appears a little later
        page.screenshot(path=picture)
        ticked = page.locator("label:has(input[type=checkbox]:checked)").all_inner_texts()
        seen = page.locator("body").inner_text()
        for caption in captions:
            page.get_by_text(caption).first.click()
        with page.expect_response(lambda r: "/annotations" in r.url and r.request.method == "POST") as stored:
            submit.click()
        print(json.dumps({"ticked": ticked, "seen": seen, "status": stored.value.status}, ensure_ascii=False))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
