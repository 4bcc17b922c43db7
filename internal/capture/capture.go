// Package capture runs the LIST, FETCH, EXPUNGE or Poll of an IMAP session and hands back what it
// wrote.
//
// The writers that [imapserver] gives to a session are concrete, and write to a private connection:
// a wrapper can pass the client's writer down, but cannot see what is written to it. So this
// package gets itself a writer of a server of its own, whose connection is not a socket but a
// parser. Getting one takes a conversation of three or four lines in memory; it is over, and its
// goroutine has ended, before the session is called. From then on all happens inside the session's
// own calls to the writer, on the goroutine of the caller: no other one is involved, nothing is
// queued, nothing has to be closed, and an error or a panic of the session comes out as it is. A
// writer serves one call and is left to the garbage collector, so that a session which keeps it, or
// which stops in the middle of a response, harms nobody else.
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

// errUnfinished is what a call gets whose session returned no error, but did not end or could not
// write all of its responses.
var errUnfinished = errors.New("capture: the session left a response unfinished")

// handover is the session of the private server. It keeps what it is given. The server uses no
// methods but these.
type handover struct {
	imapserver.Session
	list    *imapserver.ListWriter
	options *imap.ListOptions // those that list goes by
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

// converse sends the commands to a new private server, whose client is logged in and has enabled
// UTF-8. When it returns, h has the writers of the commands, and what is written to them goes to r.
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

// conn is what the private server has for a socket: the commands come in, and then the end; the
// answers to them are dropped, and what is written afterwards goes to responses. The server closes
// it as the last thing that it does.
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

// SetWriteDeadline is how the server shows when it begins a response, and by the zero time that it
// has ended it.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if c.responses != nil {
		c.responses.open = !t.IsZero()
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
