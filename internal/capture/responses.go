package capture

import (
	"bytes"
	"io"
	"strconv"
	"sync"
)

// responses cuts what a server writes into responses. It keeps the text of one response, but not
// the literals for which there is a writer.
type responses struct {
	// each gets the text of a response without its CRLF. A literal is NIL in it if literal returned a
	// writer for it, and otherwise a quoted string that may contain any byte.
	each func(text []byte) error
	// literal gets the text before a literal, and returns where its bytes go. If that is nil, they
	// become part of the text.
	literal func(text []byte, size int64) (io.Writer, error)

	// mu is for a session that keeps its writer, and writes from another goroutine later. Each and
	// literal are called under it.
	mu   sync.Mutex
	over bool  // nothing is handed over any more
	open bool  // the server has begun a response that it has not ended
	err  error // of each, of literal or of a literal's writer

	text []byte
	size int64     // bytes of a literal that are yet to come
	body io.Writer // where they go, nil for text
}

// Write fails, from then on always, when something that it calls fails.
func (r *responses) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return len(p), nil
	}
	written := len(p)
	for len(p) > 0 && r.err == nil {
		if r.size > 0 {
			n := int(min(int64(len(p)), r.size))
			r.size -= int64(n)
			r.err = r.writeLiteral(p[:n])
			p = p[n:]
			continue
		}
		end := bytes.IndexByte(p, '\n') + 1
		if end == 0 {
			r.text = append(r.text, p...)
			break
		}
		r.text = append(r.text, p[:end]...)
		p = p[end:]
		r.err = r.line()
	}
	if r.err != nil {
		return 0, r.err
	}
	return written, nil
}

// line is called when the text has a whole line. Either the response ends there, or a literal
// begins.
func (r *responses) line() error {
	text := bytes.TrimSuffix(r.text, []byte("\r\n"))
	before, size, ok := cutLiteral(text)
	if !ok {
		r.text = r.text[:0]
		return r.each(text)
	}
	r.text, r.size, r.body = before, size, nil
	if r.literal != nil {
		var err error
		if r.body, err = r.literal(before, size); err != nil {
			return err
		}
	}
	if r.body != nil {
		r.text = append(r.text, "NIL"...)
		return nil
	}
	r.text = append(r.text, '"')
	return r.writeLiteral(nil)
}

func (r *responses) writeLiteral(p []byte) error {
	if r.body != nil {
		_, err := r.body.Write(p)
		return err
	}
	for _, b := range p {
		if b == '"' || b == '\\' {
			r.text = append(r.text, '\\')
		}
		r.text = append(r.text, b)
	}
	if r.size == 0 {
		r.text = append(r.text, '"')
	}
	return nil
}

// cutLiteral returns what is before the {n} or ~{n} at the end of text.
func cutLiteral(text []byte) (before []byte, size int64, ok bool) {
	start := bytes.LastIndexByte(text, '{')
	if start < 0 || text[len(text)-1] != '}' {
		return text, 0, false
	}
	size, err := strconv.ParseInt(string(text[start+1:len(text)-1]), 10, 64)
	if err != nil || size < 0 {
		return text, 0, false
	}
	return bytes.TrimSuffix(text[:start], []byte("~")), size, true
}

// setOpen notes whether the server has begun a response.
func (r *responses) setOpen(open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = open
}

// end drops all that is written later.
func (r *responses) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
}

// flush calls f if nothing has failed, and keeps its error.
func (r *responses) flush(f func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = f()
	}
}

// finish is called after the session's call has returned err, and returns the error of the whole.
// An error of who received the responses comes first, because it is the cause of any other. Then
// comes that of the session, and then errUnfinished if a response is incomplete. To find that out,
// finish calls mark, which writes a response of the given text: nothing may come before it.
func (r *responses) finish(err error, mark func() error, text string) error {
	marked := false
	if err := r.expect(err, text, &marked); err != nil {
		return err
	}
	err = mark()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || !marked {
		return errUnfinished
	}
	return nil
}

// expect hands over nothing more, and notes when a response of the text has come.
func (r *responses) expect(err error, text string, marked *bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err != nil:
		return r.err
	case err != nil:
		return err
	case r.open: // mark would wait for it for ever
		return errUnfinished
	}
	r.each = func(got []byte) error {
		*marked = *marked || string(got) == text
		return nil
	}
	r.literal = nil
	return nil
}
