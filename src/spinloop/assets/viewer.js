// Renders the meshes of #viewer-data on #viewer canvas: drag to rotate, ctrl-wheel or pinch to zoom.
// WebGL 1, one light at the camera, no library and no request.
(() => {
  "use strict";
  const root = document.getElementById("viewer");
  const data = JSON.parse(document.getElementById("viewer-data").textContent);
  const canvas = root.querySelector("canvas");
  const gl = canvas.getContext("webgl", { antialias: true, alpha: true, preserveDrawingBuffer: true });
  if (!gl) {
    root.dataset.state = "unsupported";
    root.querySelector(".unsupported").hidden = false;
    canvas.hidden = true;
    return;
  }

  const COLORS = [[0.24, 0.56, 0.82], [0.85, 0.45, 0.17], [0.35, 0.68, 0.45], [0.71, 0.38, 0.62]];
  const numbers = (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Uint16Array(bytes.buffer);
  };
  const faces = numbers(data.faces);

  // Camera axes (y down, z away) become the page's (y up, z towards the reader).
  const place = (layer) => {
    const raw = numbers(layer.vertices);
    const out = new Float32Array(raw.length);
    const sign = [1, -1, -1];
    for (let i = 0; i < raw.length; i++) {
      const axis = i % 3;
      out[i] = sign[axis] * (layer.low[axis] + (raw[i] / 65535) * layer.extent[axis]);
    }
    return out;
  };
  const normalsOf = (points) => {
    const normals = new Float32Array(points.length);
    for (let f = 0; f < faces.length; f += 3) {
      const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
      const u = [0, 1, 2].map((k) => points[b + k] - points[a + k]);
      const v = [0, 1, 2].map((k) => points[c + k] - points[a + k]);
      const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (const corner of [a, b, c]) for (let k = 0; k < 3; k++) normals[corner + k] += n[k];
    }
    return normals;
  };

  const compile = (kind, source) => {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    return shader;
  };
  const program = gl.createProgram();
  gl.attachShader(program, compile(gl.VERTEX_SHADER, `
    attribute vec3 position, normal;
    uniform mat3 rotation;
    uniform vec3 center;
    uniform vec2 zoom;
    varying vec3 normal_camera;
    void main() {
      vec3 p = rotation * (position - center);
      normal_camera = rotation * normal;
      float w = 1.0 - 0.12 * p.z;
      gl_Position = vec4(p.xy * zoom, -0.2 * p.z * w, w);
    }`));
  gl.attachShader(program, compile(gl.FRAGMENT_SHADER, `
    precision mediump float;
    varying vec3 normal_camera;
    uniform vec4 color;
    void main() {
      float light = abs(normalize(normal_camera).z);
      gl_FragColor = vec4(color.rgb * (0.25 + 0.75 * light), color.a);
    }`));
  gl.linkProgram(program);
  gl.useProgram(program);
  gl.enable(gl.DEPTH_TEST);
  const uniform = (name) => gl.getUniformLocation(program, name);
  const buffer = (target, content) => {
    const made = gl.createBuffer();
    gl.bindBuffer(target, made);
    gl.bufferData(target, content, gl.STATIC_DRAW);
    return made;
  };
  buffer(gl.ELEMENT_ARRAY_BUFFER, faces);

  const view = { person: 0, yaw: 0, pitch: 0, zoom: 1, hidden: new Set() };
  let meshes = [];
  let center = [0, 0, 0];
  let size = 1;

  const show = (person) => {
    view.person = person;
    for (const mesh of meshes) [mesh.points, mesh.normals].forEach((b) => gl.deleteBuffer(b));
    const shown = data.people[person];
    const low = [Infinity, Infinity, Infinity];
    const high = [-Infinity, -Infinity, -Infinity];
    meshes = shown.layers.map((layer, number) => {
      const points = place(layer);
      for (let i = 0; i < points.length; i++) {
        low[i % 3] = Math.min(low[i % 3], points[i]);
        high[i % 3] = Math.max(high[i % 3], points[i]);
      }
      return {
        name: layer.name,
        color: COLORS[number % COLORS.length],
        points: buffer(gl.ARRAY_BUFFER, points),
        normals: buffer(gl.ARRAY_BUFFER, normalsOf(points)),
      };
    });
    center = [0, 1, 2].map((k) => (low[k] + high[k]) / 2);
    size = Math.hypot(...[0, 1, 2].map((k) => high[k] - low[k]));
    root.querySelector(".person").textContent = shown.id;
    root.querySelector(".caption").textContent = shown.caption;
    root.querySelector(".place").textContent = `${person + 1} of ${data.people.length}`;
    const list = root.querySelector(".layers");
    list.replaceChildren(...meshes.map((mesh) => {
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.checked = !view.hidden.has(mesh.name);
      box.addEventListener("change", () => {
        if (box.checked) view.hidden.delete(mesh.name); else view.hidden.add(mesh.name);
        render();
      });
      label.style.setProperty("--layer", `rgb(${mesh.color.map((c) => Math.round(255 * c)).join(",")})`);
      label.append(box, mesh.name);
      return label;
    }));
    render();
  };

  const render = () => {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const [cy, sy, cp, sp] = [Math.cos(view.yaw), Math.sin(view.yaw), Math.cos(view.pitch), Math.sin(view.pitch)];
    gl.uniformMatrix3fv(uniform("rotation"), false, [cy, sp * sy, -cp * sy, 0, cp, sp, sy, -sp * cy, cp * cy]);
    gl.uniform3fv(uniform("center"), center);
    const scale = (1.7 / size) * view.zoom;
    const wide = canvas.width / canvas.height;
    gl.uniform2f(uniform("zoom"), wide > 1 ? scale / wide : scale, wide > 1 ? scale : scale * wide);
    for (const mesh of meshes) {
      if (view.hidden.has(mesh.name)) continue;
      for (const [name, content] of [["position", mesh.points], ["normal", mesh.normals]]) {
        const where = gl.getAttribLocation(program, name);
        gl.bindBuffer(gl.ARRAY_BUFFER, content);
        gl.enableVertexAttribArray(where);
        gl.vertexAttribPointer(where, 3, gl.FLOAT, false, 0, 0);
      }
      gl.uniform4f(uniform("color"), ...mesh.color, 1);
      gl.drawElements(gl.TRIANGLES, faces.length, gl.UNSIGNED_SHORT, 0);
    }
    root.dataset.state = gl.getError() === gl.NO_ERROR ? "rendered" : "failed";
  };

  const fingers = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    if (fingers.size === 1) {
      view.yaw += (event.clientX - before.clientX) * 0.01;
      view.pitch = Math.max(-1.5, Math.min(1.5, view.pitch + (event.clientY - before.clientY) * 0.01));
    } else {
      const other = [...fingers.values()].find((f) => f.pointerId !== event.pointerId);
      const apart = (f) => Math.hypot(f.clientX - other.clientX, f.clientY - other.clientY) || 1;
      view.zoom = Math.max(0.5, Math.min(6, (view.zoom * apart(event)) / apart(before)));
    }
    fingers.set(event.pointerId, event);
    render();
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, (event) => fingers.delete(event.pointerId));
  }
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // the page's own scrolling stays the reader's
    event.preventDefault();
    view.zoom = Math.max(0.5, Math.min(6, view.zoom * Math.exp(-event.deltaY * 0.002)));
    render();
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] };
    if (!(event.key in steps)) return;
    event.preventDefault();
    view.yaw += steps[event.key][0];
    view.pitch += steps[event.key][1];
    render();
  });
  const count = data.people.length;
  root.querySelector(".previous").addEventListener("click", () => show((view.person + count - 1) % count));
  root.querySelector(".next").addEventListener("click", () => show((view.person + 1) % count));
  new ResizeObserver(render).observe(canvas);
  show(0);
})();
