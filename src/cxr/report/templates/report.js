"use strict";
// Tables: a click on a head sorts by it; rows without a value stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => head.firstElementChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    heads.forEach(other => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const value = row => row.cells[place].dataset.value === undefined ? null : +row.cells[place].dataset.value;
    const compare = (a, b) => {
      if (place === 0) return (down ? -1 : 1) * a.cells[0].textContent.localeCompare(b.cells[0].textContent);
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      return down ? y - x : x - y;
    };
    body.append(...[...body.rows].sort(compare));
  }));
}
// A table that is wider than its place says that it scrolls.
const wide = new ResizeObserver(entries => entries.forEach(({target}) => {
  target.classList.toggle("wide", target.scrollWidth > target.clientWidth + 1);
}));
document.querySelectorAll(".scroll").forEach(table => wide.observe(table));
// The section in sight is marked in the navigation.
const links = new Map([...document.querySelectorAll("nav a")].map(link => [link.hash.slice(1), link]));
const sight = new IntersectionObserver(entries => entries.forEach(entry => {
  const link = links.get(entry.target.id);
  if (link) link.classList.toggle("here", entry.isIntersecting);
}), {rootMargin: "-30% 0px -65% 0px"});
document.querySelectorAll("section").forEach(section => sight.observe(section));
// The gallery: cards are made as they are asked for, a page of them at a time.
const data = document.getElementById("films");
if (data) {
  const {findings, films} = JSON.parse(data.textContent);
  const form = document.getElementById("controls"), gallery = document.getElementById("gallery");
  const more = document.getElementById("more"), count = document.getElementById("count");
  const PAGE = 60;
  let chosen = [], shown = 0;
  const make = (name, attributes = {}, ...inside) => {
    const element = Object.assign(document.createElement(name), attributes);
    element.append(...inside);
    return element;
  };
  const card = (film, f) => {
    const alt = `${film.id}, ${findings[f]}: ${film.outcomes[f] || "truth not known"}`;
    const stack = make(film.overlays[f] ? "a" : "div", {className: "stack"});
    if (film.overlays[f]) Object.assign(stack, {href: film.overlays[f], title: "full overlay"});
    stack.append(make("img", {src: film.film, alt}), make("img", {src: film.maps[f], alt: ""}));
    for (const box of film.boxes[f]) {
      const frame = make("i");
      ["left", "top", "width", "height"].forEach((side, n) => { frame.style[side] = box[n] + "%"; });
      stack.append(frame);
    }
    for (const box of film.detections[f]) {
      const frame = make("i", {className: "found"}, make("b", {textContent: box[4].toFixed(2).slice(1)}));
      ["left", "top", "width", "height"].forEach((side, n) => { frame.style[side] = box[n] + "%"; });
      stack.append(frame);
    }
    stack.append(make("em", {className: film.outcomes[f], textContent: film.outcomes[f] || "?"}));
    const order = [...findings.keys()], many = order.length > 8;
    // Of many findings a card shows a few at once: the chosen one, then the likeliest; the rest by scrolling.
    if (many) order.sort((a, b) => (b === f) - (a === f) || film.probabilities[b] - film.probabilities[a]);
    const rows = order.map(n => {
      const row = make("li", {className: n === f ? "on" : ""}, make("span", {textContent: findings[n].replaceAll("_", "_\u200b")}),
        make("span", {textContent: film.shown[n]}), make("span", {textContent: film.outcomes[n] || "?"}));
      row.style.setProperty("--p", 100 * film.probabilities[n]);
      return row;
    });
    const notes = (film.notes || []).map(note => make("p", {className: "warn", textContent: note}));
    return make("article", {className: "film"}, stack, make("h4", {textContent: film.id}), ...notes,
      make("ul", many ? {className: "many", tabIndex: 0} : {}, ...rows));
  };
  const next = () => {
    const f = findings.indexOf(form.elements.finding.value);
    gallery.append(...chosen.slice(shown, shown + PAGE).map(film => card(film, f)));
    shown = Math.min(shown + PAGE, chosen.length);
    more.hidden = shown >= chosen.length;
    count.textContent = `${shown} of ${chosen.length} films`;
  };
  const choose = () => {
    const f = findings.indexOf(form.elements.finding.value), wanted = form.elements.search.value.trim().toLowerCase();
    const outcomes = [...form.querySelectorAll("[name=outcome]")];
    const ticked = new Set(outcomes.filter(box => box.checked).map(box => box.value));
    const named = films.filter(film => film.id.toLowerCase().includes(wanted));
    outcomes.forEach(box => {
      box.nextElementSibling.lastElementChild.textContent = named.filter(film => film.outcomes[f] === box.value).length;
    });
    const place = film => outcomes.findIndex(box => box.value === film.outcomes[f]);
    // The surest first: of what was called the highest probability, of the rest the lowest.
    const rank = film => film.called[f] ? -film.probabilities[f] : film.probabilities[f];
    chosen = named.filter(film => ticked.has(film.outcomes[f])).sort((a, b) =>
      place(a) - place(b) || rank(a) - rank(b));
    gallery.replaceChildren();
    shown = 0;
    next();
  };
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("input", event => {
    if (event.target.name === "opacity") gallery.style.setProperty("--map", event.target.value / 100);
    else choose();
  });
  more.addEventListener("click", next);
  choose();
}
