// SPDX-License-Identifier: MIT
// Multi-resolution hash encoding: positions and indices of sixteen points at a time, features point by point.
#include "kernels.hpp"
#include "../vec.hpp"

namespace gsv {
namespace GSV_ISA {

// Corners of the cells that sixteen points lie in, and their multilinear weights.
template <int D>
struct Corners {
  int32_t index[1 << D][16];  // entry within the level
  float weight[1 << D][16];
};

// Per dimension: the two vertices' shares of the index, the position inside the cell, and d position / d coordinate.
struct Axis {
  I16 low, high;
  F16 fraction;
  F16 slope;
};

// Coordinates outside the grid, and NaN, are held at its border.
GSV_INLINE Axis locate(const HashLevel& l, int d, F16 u) {
  const F16 free = splat(l.scale) * u + splat(0.5f);
  const F16 p = min(max(free, splat(0.f)), splat((float)l.resolution));
  const I16 cell = truncate(p);
  const I16 last = splat(l.resolution - 1), multiplier = splat(l.multiplier[d]);
  return {min(cell, last) * multiplier, min(cell + splat(1), last) * multiplier, p - to_float(cell),
          where_positive(free, splat(l.scale))};
}

template <int D>
GSV_INLINE void locate_points(const HashLevel& l, const float* coords, int64_t n, Axis* axis) {
  for (int d = 0; d < D; ++d) {
    float u[16];
    for (int p = 0; p < 16; ++p) u[p] = coords[(p < n ? p : n - 1) * D + d];
    axis[d] = locate(l, d, load(u));
  }
}

// Bit d of `corner` chooses the high vertex of dimension d.
template <int D>
GSV_INLINE I16 corner_index(const HashLevel& l, const Axis* axis, int corner) {
  I16 index = corner & 1 ? axis[0].high : axis[0].low;
  for (int d = 1; d < D; ++d) {
    const I16 share = corner >> d & 1 ? axis[d].high : axis[d].low;
    index = l.dense ? index + share : index ^ share;
  }
  return index & splat(l.mask);
}

// Product of the corner's weights in all dimensions but `skip` (-1: none)
template <int D>
GSV_INLINE F16 corner_weight(const Axis* axis, int corner, int skip) {
  F16 w = splat(1.f);
  for (int d = 0; d < D; ++d)
    if (d != skip) w = w * (corner >> d & 1 ? axis[d].fraction : splat(1.f) - axis[d].fraction);
  return w;
}

template <int D>
GSV_INLINE Corners<D> corners_of(const HashLevel& l, const Axis* axis) {
  Corners<D> c;
  for (int v = 0; v < 1 << D; ++v) {
    store(c.index[v], corner_index<D>(l, axis, v));
    store(c.weight[v], corner_weight<D>(axis, v, -1));
  }
  return c;
}

// F floats that move together
template <int F>
struct Entry {
  typedef float Type __attribute__((vector_size(4 * F)));
};
template <>
struct Entry<1> {
  typedef float Type;
};
template <int F>
GSV_INLINE typename Entry<F>::Type load_entry(const float* p) {
  typename Entry<F>::Type e;
  __builtin_memcpy(&e, p, sizeof e);
  return e;
}
template <int F>
GSV_INLINE void store_entry(float* p, typename Entry<F>::Type e) {
  __builtin_memcpy(p, &e, sizeof e);
}

struct Encode {
  template <int D, int F>
  static void run(const HashGrid& grid, int level, const float* coords, int64_t n, float* out, int64_t stride) {
    const HashLevel& l = grid.level[level];
    const float* table = grid.table + l.offset * F;
    for (int64_t p0 = 0; p0 < n; p0 += 16) {
      Axis axis[D];
      locate_points<D>(l, coords + p0 * D, n - p0, axis);
      const Corners<D> c = corners_of<D>(l, axis);
      const int count = n - p0 < 16 ? (int)(n - p0) : 16;
      for (int p = 0; p < count; ++p) {
        typename Entry<F>::Type sum = c.weight[0][p] * load_entry<F>(table + (int64_t)c.index[0][p] * F);
        for (int v = 1; v < 1 << D; ++v) sum += c.weight[v][p] * load_entry<F>(table + (int64_t)c.index[v][p] * F);
        store_entry<F>(out + (p0 + p) * stride + level * F, sum);
      }
    }
  }
};

struct TableGrad {
  template <int D, int F>
  static void run(const HashGrid& grid, int level, const float* coords, int64_t n, const float* grad, int64_t stride,
                  float* dtable) {
    const HashLevel& l = grid.level[level];
    float* target = dtable + l.offset * F;
    for (int64_t p0 = 0; p0 < n; p0 += 16) {
      Axis axis[D];
      locate_points<D>(l, coords + p0 * D, n - p0, axis);
      const Corners<D> c = corners_of<D>(l, axis);
      const int count = n - p0 < 16 ? (int)(n - p0) : 16;
      for (int p = 0; p < count; ++p) {
        const auto g = load_entry<F>(grad + (p0 + p) * stride + level * F);
        for (int v = 0; v < 1 << D; ++v) {
          float* e = target + (int64_t)c.index[v][p] * F;
          store_entry<F>(e, load_entry<F>(e) + c.weight[v][p] * g);
        }
      }
    }
  }
};

struct CoordGrad {
  template <int D, int F>
  static void run(const HashGrid& grid, int level, const float* coords, int64_t n, const float* grad, int64_t stride,
                  float* dcoords) {
    const HashLevel& l = grid.level[level];
    const float* table = grid.table + l.offset * F;
    for (int64_t p0 = 0; p0 < n; p0 += 16) {
      Axis axis[D];
      locate_points<D>(l, coords + p0 * D, n - p0, axis);
      const int count = n - p0 < 16 ? (int)(n - p0) : 16;
      for (int v = 0; v < 1 << D; ++v) {
        int32_t index[16];
        float dot[16] = {};
        store(index, corner_index<D>(l, axis, v));
        for (int p = 0; p < count; ++p)
          for (int f = 0; f < F; ++f)
            dot[p] += grad[(p0 + p) * stride + level * F + f] * table[(int64_t)index[p] * F + f];
        for (int d = 0; d < D; ++d) add(axis, v, d, load(dot), count, dcoords + p0 * D);
      }
    }
  }

  template <int D>
  static void add(const Axis (&axis)[D], int corner, int d, F16 dot, int count, float* dcoords) {
    float part[16];
    const F16 change = dot * corner_weight<D>(axis, corner, d) * axis[d].slope;
    store(part, corner >> d & 1 ? change : splat(0.f) - change);
    for (int p = 0; p < count; ++p) dcoords[p * D + d] += part[p];
  }
};

// Calls Op::run<D, F>; the shapes were checked by the driver.
template <class Op, class... Args>
GSV_INLINE void for_shape(const HashGrid& grid, Args... args) {
  switch (grid.dims * 16 + grid.features) {
    case 2 * 16 + 1: return Op::template run<2, 1>(grid, args...);
    case 2 * 16 + 2: return Op::template run<2, 2>(grid, args...);
    case 2 * 16 + 4: return Op::template run<2, 4>(grid, args...);
    case 2 * 16 + 8: return Op::template run<2, 8>(grid, args...);
    case 3 * 16 + 1: return Op::template run<3, 1>(grid, args...);
    case 3 * 16 + 2: return Op::template run<3, 2>(grid, args...);
    case 3 * 16 + 4: return Op::template run<3, 4>(grid, args...);
    case 3 * 16 + 8: return Op::template run<3, 8>(grid, args...);
  }
}

void hash_encode(const HashGrid& grid, const float* coords, int64_t n, float* out, int64_t stride) {
  for (int l = 0; l < grid.levels; ++l) for_shape<Encode>(grid, l, coords, n, out, stride);
}

void hash_table_grad(const HashGrid& grid, int level, const float* coords, int64_t n, const float* grad, int64_t stride,
                     float* dtable) {
  for_shape<TableGrad>(grid, level, coords, n, grad, stride, dtable);
}

void hash_coord_grad(const HashGrid& grid, const float* coords, int64_t n, const float* grad, int64_t stride,
                     float* dcoords) {
  for (int64_t i = 0; i < n * grid.dims; ++i) dcoords[i] = 0;
  for (int l = 0; l < grid.levels; ++l) for_shape<CoordGrad>(grid, l, coords, n, grad, stride, dcoords);
}

}  // namespace GSV_ISA
}  // namespace gsv
