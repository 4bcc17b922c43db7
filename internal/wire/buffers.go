package wire

import "sync"

const bufferSize = 8 << 10

// scratch holds buffers that are in use only while something is read or written, or waits for that.
// So an idle connection holds none.
var scratch = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// rest is the part of the input that is not used yet. The zero rest is empty.
type rest struct {
	data   []byte
	buffer *[bufferSize]byte // what data is in; nil if data has memory of its own
}

func (r *rest) empty() bool { return len(r.data) == 0 }

// next returns the first n bytes, or all if there are fewer.
func (r *rest) next(n int) []byte { return r.data[:min(n, len(r.data))] }

// keep keeps the part of in that was not used. In is from next, or has just been read.
func (r *rest) keep(in []byte, used int) {
	switch {
	case len(r.data) > used:
		r.data = r.data[used:]
	case len(r.data) > 0:
		r.clear()
	case len(in)-used > bufferSize:
		r.data = append([]byte(nil), in[used:]...)
	case len(in) > used:
		r.buffer = scratch.Get().(*[bufferSize]byte)
		r.data = r.buffer[:copy(r.buffer[:], in[used:])]
	}
}

func (r *rest) clear() {
	if r.buffer != nil {
		scratch.Put(r.buffer)
	}
	*r = rest{}
}
