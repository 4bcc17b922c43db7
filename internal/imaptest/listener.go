package imaptest

import "net"

// Listener is a listener in memory, for servers that [NewServer] cannot make.
type Listener struct{ *listener }

// Listen returns a new listener.
func Listen() *Listener { return &Listener{newListener()} }

// DialFrom connects from an address, as [Server.DialFrom] does.
func (l *Listener) DialFrom(address string) (net.Conn, error) { return l.dial(address) }

// Dial connects from 192.0.2.1.
func (l *Listener) Dial() (net.Conn, error) { return l.dial("192.0.2.1") }
