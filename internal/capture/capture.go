// Package capture runs the LIST, FETCH, EXPUNGE or Poll of an IMAP session, and hands its caller
// what the session writes.
//
// The writers that [imapserver] gives to a session are concrete types, and write to a private
// connection. A wrapper can pass the client's writer to the session it wraps, but it cannot see
// what is written to it. So this package makes a server of its own and takes a writer from it. The
// connection of that server is not a socket but a parser.
//
// Each call makes such a server, and sends it three or four lines from memory to get the writer.
// That is over, and the server's goroutine has ended, before the session is called. Everything
// after that happens in the session's own calls to the writer, on the goroutine of the caller. So
// nothing is queued, nothing has to be closed, and an error or a panic of the session arrives
// unchanged. A writer is used for one call only. A session that stops in the middle of a response
// harms nobody else; nor does one that keeps its writer: what it writes later is dropped.
package capture

import (
	"errors"
	"io"
	"log"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// errUnfinished is the error of a call whose session returned none, but did not end a response, or
// could not write one.
var errUnfinished = errors.New("capture: the session left a response unfinished")

// handover is the session of the private server. It keeps the writers that it is given. The server
// calls no other methods than these.
type handover struct {
	imapserver.Session
	list    *imapserver.ListWriter
	options *imap.ListOptions // what list writes depends on them
	fetch   *imapserver.FetchWriter
	expunge *imapserver.ExpungeWriter
	update  *imapserver.UpdateWriter
}

func (h *handover) List(
	w *imapserver.ListWriter, _ string, _ []string, options *imap.ListOptions,
) error {
	h.list, h.options = w, options
	return nil
}

func (h *handover) Fetch(w *imapserver.FetchWriter, _ imap.NumSet, _ *imap.FetchOptions) error {
	h.fetch = w
	return nil
}

func (h *handover) Expunge(w *imapserver.ExpungeWriter, _ *imap.UIDSet) error {
	h.expunge = w
	return nil
}

func (h *handover) Select(string, *imap.SelectOptions) (*imap.SelectData, error) {
	return &imap.SelectData{}, nil
}

func (h *handover) Poll(w *imapserver.UpdateWriter, _ bool) error {
	h.update = w
	return nil
}

func (h *handover) Close() error { return nil }

// converse makes a private server, and sends it the commands of a client that is logged in and has
// enabled UTF-8. When it returns, h has the writers of the commands. What is written to them goes
// to r.
func converse(h *handover, r *responses, commands string) {
	server := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return h, &imapserver.GreetingData{PreAuth: true}, nil
		},
		Logger: silent,
	})
	conn := &conn{
		commands: strings.NewReader("e ENABLE UTF8=ACCEPT\r\n" + commands),
		closed:   make(chan struct{}),
	}
	server.Serve(&listener{conn: conn})
	<-conn.closed
	conn.responses = r
}

var silent = log.New(io.Discard, "", 0)

// listener accepts one connection.
type listener struct{ conn net.Conn }

func (l *listener) Accept() (net.Conn, error) {
	conn := l.conn
	if conn == nil {
		return nil, net.ErrClosed
	}
	l.conn = nil
	return conn, nil
}

func (l *listener) Close() error   { return nil }
func (l *listener) Addr() net.Addr { return address{} }

// conn is the connection of the private server. The server reads the commands from it, and then the
// end. Its answers to them are dropped; what is written later goes to responses. The last thing
// that the server does is to close it.
type conn struct {
	commands  *strings.Reader
	closed    chan struct{}
	responses *responses
}

func (c *conn) Read(p []byte) (int, error) { return c.commands.Read(p) }

func (c *conn) Write(p []byte) (int, error) {
	if c.responses == nil {
		return len(p), nil
	}
	return c.responses.Write(p)
}

func (c *conn) Close() error {
	close(c.closed)
	return nil
}

// SetWriteDeadline tells when the server begins a response, and, by the zero time, when it has
// ended one.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if c.responses != nil {
		c.responses.setOpen(!t.IsZero())
	}
	return nil
}

func (c *conn) SetDeadline(time.Time) error     { return nil }
func (c *conn) SetReadDeadline(time.Time) error { return nil }
func (c *conn) LocalAddr() net.Addr             { return address{} }
func (c *conn) RemoteAddr() net.Addr            { return address{} }

type address struct{}

func (address) Network() string { return "memory" }
func (address) String() string  { return "capture" }
