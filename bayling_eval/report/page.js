'use strict';
(() => {
  const collator = new Intl.Collator('en', { sensitivity: 'base' });

  function sort(th) {
    const table = th.closest('table');
    const body = table.tBodies[0];
    const heads = [...th.parentNode.children];
    const column = heads.indexOf(th);
    const numeric = th.dataset.t !== 'text';
    const down = th.getAttribute('aria-sort') === 'ascending';
    const keyed = [...body.rows].map((row) => ({ row, key: row.cells[column].dataset.s }));
    const missing = keyed.filter((one) => one.key === undefined);
    const present = keyed.filter((one) => one.key !== undefined);
    const order = numeric
      ? (a, b) => Number(a.key) - Number(b.key)
      : (a, b) => collator.compare(a.key, b.key);
    // Array.sort is stable; turning the order round, not the result, keeps ties as they were.
    present.sort(down ? (a, b) => order(b, a) : order);
    heads.forEach((head) => head.removeAttribute('aria-sort'));
    th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    body.append(...present.map((one) => one.row), ...missing.map((one) => one.row));
  }

  function reveal() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const fold = target && target.closest('details');
    if (fold) {
      fold.open = true;
      fold.scrollIntoView();
    }
  }

  document.querySelectorAll('.sortable th button').forEach((button) => {
    button.addEventListener('click', () => sort(button.closest('th')));
  });
  addEventListener('hashchange', reveal);
  addEventListener('beforeprint', () => {
    document.querySelectorAll('details:not([open])').forEach((fold) => {
      fold.dataset.printed = '';
      fold.open = true;
    });
  });
  addEventListener('afterprint', () => {
    document.querySelectorAll('details[data-printed]').forEach((fold) => {
      delete fold.dataset.printed;
      fold.open = false;
    });
  });
  function hint(box) {
    const hidden = box.scrollWidth - box.clientWidth;
    box.classList.toggle('more', hidden - box.scrollLeft >= 2);
    if (box.querySelector('.sortable')) document.getElementById('cue').hidden = hidden < 2;
  }

  const sizes = new ResizeObserver((seen) => seen.forEach((one) => hint(one.target)));
  document.querySelectorAll('.scroll').forEach((box) => {
    sizes.observe(box);
    box.addEventListener('scroll', () => hint(box), { passive: true });
  });
  reveal();
})();
