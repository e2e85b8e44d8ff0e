"use strict";
// Finding, sorting and deleting. Without it the page can be read all the same.
for (const part of document.querySelectorAll(".tools, .delete")) part.hidden = false;
const list = document.getElementById("groups");
const find = document.getElementById("find");
const order = document.getElementById("order");
if (list) {
  const groups = [...list.children];
  const number = (group, name) => Number(group.dataset[name]);
  const byLabels = new Map(groups.map((group) => [group, group.querySelector(".key").textContent]));
  const compare = {
    failed: (a, b) => number(a, "good") - number(b, "good"),
    labels: () => 0,
    pushed: (a, b) => Math.max(number(b, "pushed"), number(b, "failed")) - Math.max(number(a, "pushed"), number(a, "failed")),
    expires: (a, b) => number(a, "expires") - number(b, "expires"),
  };
  const text = (group) => byLabels.get(group);
  order.addEventListener("change", () => {
    groups.sort((a, b) => compare[order.value](a, b) || (text(a) < text(b) ? -1 : 1));
    list.append(...groups);
  });
  find.addEventListener("input", () => {
    const wanted = find.value.toLowerCase();
    for (const group of groups) group.hidden = !group.textContent.toLowerCase().includes(wanted);
  });
  const sure = document.getElementById("sure");
  const problem = document.getElementById("problem");
  let chosen = null;
  list.addEventListener("click", (event) => {
    const button = event.target.closest(".delete");
    if (!button) return;
    chosen = button;
    problem.textContent = "";
    document.getElementById("which").textContent = text(button.closest(".group")).trim();
    sure.returnValue = "no";
    sure.showModal();
  });
  sure.addEventListener("close", async () => {
    if (sure.returnValue !== "yes" || !chosen) return;
    // Relative to the page, whatever stage or prefix stands in front of it.
    const root = location.pathname.replace(/\/*$/, "/");
    let sentence = "the gateway cannot be reached";
    try {
      const answer = await fetch(root + chosen.dataset.path, { method: "DELETE" });
      if (answer.ok) return location.reload();
      sentence = (await answer.text()) || "status " + answer.status;
    } catch (error) {
      console.debug(error);
    }
    problem.textContent = "Not deleted: " + sentence;
    sure.returnValue = "no";
    sure.showModal();
  });
}
