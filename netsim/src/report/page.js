"use strict";
// A cursor through all plots of a direction: where the sound is, and where the pointer is.
for (const section of document.querySelectorAll(".direction")) {
  const { from, step, begin, end, left, right, series } =
    JSON.parse(section.querySelector("script").textContent);
  const audio = section.querySelector("audio");
  const plots = [...section.querySelectorAll(".plot")];
  const outputs = [...section.querySelectorAll("output")];
  const cursors = (kind) => plots.map((plot) => {
    const cursor = document.createElement("div");
    cursor.className = "cursor " + kind;
    cursor.hidden = true;
    plot.append(cursor);
    return cursor;
  });
  const heard = cursors("heard"), hovered = cursors("hovered");

  const place = (all, t) => {
    const share = left + (t - begin) / (end - begin) * (right - left);
    for (const cursor of all) {
      cursor.hidden = t < begin || t > end;
      cursor.style.left = share * 100 + "%";
    }
  };
  const show = (t) => {
    const at = Math.floor((t - from) / step + 1e-6);
    for (const output of outputs) {
      const value = series[output.dataset.series][at];
      output.textContent = value === undefined || value === null ? "–" : value;
    }
  };
  const timeAt = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width - left) / (right - left);
    return begin + Math.min(1, Math.max(0, share)) * (end - begin);
  };

  let pointing = false;
  for (const plot of plots) {
    plot.addEventListener("pointermove", (event) => {
      pointing = true;
      place(hovered, timeAt(event));
      show(timeAt(event));
    });
    plot.addEventListener("pointerleave", () => {
      pointing = false;
      for (const cursor of hovered) cursor.hidden = true;
    });
    plot.addEventListener("click", (event) => {
      if (audio) audio.currentTime = timeAt(event);
    });
  }
  if (audio) {
    const look = () => {
      place(heard, audio.currentTime);
      if (!pointing) show(audio.currentTime);
    };
    // Several times a second is what `timeupdate` comes; while it plays, the cursor moves with every frame.
    const follow = () => {
      look();
      if (!audio.paused) requestAnimationFrame(follow);
    };
    audio.addEventListener("play", follow);
    for (const kind of ["seeking", "timeupdate"]) audio.addEventListener(kind, look);
  }
}
