package wire

import (
	"errors"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/imapgate/imapgate/internal/layers"
)

const (
	// arrivalTimeout is how long it may take to admit a connection. Its address must be known for
	// that, and behind a proxy it is known only when the proxy has sent a header.
	arrivalTimeout = 10 * time.Second
	// maxArriving is how many connections of a listener may wait to be admitted. Each one beyond that
	// closes an arbitrary one of them. A header that is on its way is very likely to arrive before its
	// connection is chosen.
	maxArriving = 1000
)

var errPanic = errors.New("wire: a panic")

// listener admits each connection in a goroutine of its own, so that none waits for another.
type listener struct {
	net.Listener
	guard  *Guard
	begin  sync.Once
	close  func() error // of Listener, which is closed only once
	next   chan accepted
	closed chan struct{}
	admits sync.WaitGroup

	mu       sync.Mutex
	err      error // what Accept returns once the listener is closed
	arriving map[*arrival]struct{}
}

// accepted is what Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

// arrival is a connection that is not admitted yet.
type arrival struct{ conn net.Conn }

func newListener(inner net.Listener, guard *Guard) *listener {
	return &listener{
		Listener: inner, guard: guard, close: sync.OnceValue(func() error { return inner.Close() }),
		next: make(chan accepted), closed: make(chan struct{}),
		arriving: make(map[*arrival]struct{}),
	}
}

// Guarded reports whether the listener is one of [Guard.Listen].
func Guarded(ln net.Listener) bool {
	_, ok := ln.(*listener)
	return ok
}

// Accept returns the next connection that was admitted.
func (l *listener) Accept() (net.Conn, error) {
	l.begin.Do(func() { go l.acceptAll() })
	select {
	case a := <-l.next:
		return a.conn, a.err
	case <-l.closed:
		l.mu.Lock()
		defer l.mu.Unlock()
		return nil, l.err
	}
}

// acceptAll accepts connections until the listener is closed.
func (l *listener) acceptAll() {
	for {
		conn, err := l.Listener.Accept()
		switch {
		case err == nil:
			l.arrive(conn)
		case !isTemporary(err):
			l.admits.Wait() // connections that came before are still admitted
			l.end(err)
			return
		case !l.handOver(accepted{err: err}):
			return
		}
	}
}

// isTemporary reports whether go-imap accepts again after this error.
func isTemporary(err error) bool {
	temporary, ok := err.(interface{ Temporary() bool })
	return ok && temporary.Temporary()
}

// handOver makes Accept return a. It returns false if the listener is closed first.
func (l *listener) handOver(a accepted) bool {
	select {
	case l.next <- a:
		return true
	case <-l.closed:
		return false
	}
}

// arrive admits the connection in a goroutine of its own.
func (l *listener) arrive(conn net.Conn) {
	a := &arrival{conn}
	tooMany, ok := l.enter(a)
	if tooMany != nil {
		tooMany.abort()
	}
	if !ok {
		conn.Close()
		return
	}
	timer := time.AfterFunc(arrivalTimeout, func() {
		if l.leave(a) {
			a.abort()
		}
	})
	l.admits.Go(func() {
		defer timer.Stop()
		l.admit(a)
	})
}

// enter adds the arrival. If tooMany is not nil, it was removed to make room; ok is false if the
// listener is closed.
func (l *listener) enter(a *arrival) (tooMany *arrival, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, false
	}
	if len(l.arriving) == maxArriving {
		for tooMany = range l.arriving {
			delete(l.arriving, tooMany)
			break
		}
	}
	l.arriving[a] = struct{}{}
	return tooMany, true
}

// leave removes the arrival. It returns false if the arrival was removed before.
func (l *listener) leave(a *arrival) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.arriving[a]
	delete(l.arriving, a)
	return ok
}

// abort closes the socket, and so ends whatever waits for its header. It says no BYE, because a
// client reads nothing before the header and the handshake.
func (a *arrival) abort() { layers.Innermost(a.conn).Close() }

func (l *listener) admit(a *arrival) {
	admitted, err := l.ask(a.conn)
	switch ok := l.leave(a); {
	case ok && err != nil:
		l.guard.refuse(a.conn, err)
		return
	case !ok && err != nil:
		a.conn.Close()
		return
	case !ok:
		admitted.Close()
		return
	}
	if c := newConn(admitted, a.conn, l); !l.guard.add(c) || !l.handOver(accepted{conn: c}) {
		c.Close()
	}
}

// ask returns the connection to serve, or why it is refused. A panic refuses it too: go-imap, which
// catches the panics of a connection, does not have it yet.
func (l *listener) ask(conn net.Conn) (_ net.Conn, err error) {
	defer func() {
		if v := recover(); v != nil {
			l.guard.logf("panic admitting a connection: %v\n%s", v, debug.Stack())
			err = errPanic
		}
	}()
	if admit := l.guard.config.Admit; admit != nil {
		return admit(conn)
	}
	conn.RemoteAddr() // wait for the address here, not in go-imap's goroutine
	return conn, nil
}

// Close closes the listener, and the connections that are not admitted yet.
func (l *listener) Close() error {
	l.end(net.ErrClosed)
	return l.close()
}

// fail makes Accept return the error. Every other connection would meet the same error.
func (l *listener) fail(err error) {
	l.end(err)
	l.close()
}

// end makes Accept return the error.
func (l *listener) end(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = err
		close(l.closed)
	}
	arriving := l.arriving
	l.arriving = make(map[*arrival]struct{})
	l.mu.Unlock()
	for a := range arriving {
		a.abort()
	}
}
