"use strict";
const form = document.getElementById("filter"), search = document.getElementById("search");
const found = document.getElementById("found");
const views = [...document.querySelectorAll(".view")].map(element => ({
  element,
  own: (element.querySelector("h2").textContent + " " + element.querySelector(".lead").textContent).toLowerCase(),
  details: element.querySelector("details"),
  features: [...element.querySelectorAll(".features li")].map(item => ({item, text: item.textContent.toLowerCase()})),
}));
const facets = [...form.querySelectorAll("select")];
// What is looked for is kept in the address, so that it can be sent and is there on going back.
const read = () => {
  const wanted = new URLSearchParams(location.hash.slice(1));
  search.value = wanted.get("search") || "";
  for (const facet of facets) facet.value = wanted.get(facet.dataset.facet) || "";
};
const show = () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const has = text => words.every(word => text.includes(word));
  let shown = 0, matches = 0;
  for (const view of views) {
    const fits = facets.every(facet => !facet.value || view.element.dataset[facet.dataset.facet] === facet.value);
    const byItself = has(view.own);
    let matching = 0;
    for (const {item, text} of view.features) {
      const isMatch = has(text) || has(view.own + " " + text);
      item.hidden = words.length > 0 && !isMatch && !byItself;
      matching += isMatch;
    }
    view.element.hidden = !fits || (words.length > 0 && !byItself && !matching);
    view.details.open = words.length > 0 && !byItself && matching > 0;
    shown += !view.element.hidden;
    matches += view.element.hidden ? 0 : matching;
  }
  const noun = views.length === 1 ? "feature view" : "feature views";
  found.textContent = shown ? `${shown} of ${views.length} ${noun}, with ${matches} features`
    : `None of ${views.length} ${noun} fits: take out a word, or choose "all".`;
  const wanted = new URLSearchParams();
  if (search.value) wanted.set("search", search.value);
  for (const facet of facets) if (facet.value) wanted.set(facet.dataset.facet, facet.value);
  history.replaceState(null, "", String(wanted) ? `#${wanted}` : location.pathname + location.search);
};
form.hidden = views.length === 0;
form.addEventListener("input", show);
form.addEventListener("submit", event => event.preventDefault());
addEventListener("hashchange", () => { read(); show(); });
if (views.length) { read(); show(); }
