package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// client is a connection that sends one command after another.
type client struct {
	conn   net.Conn
	reader *bufio.Reader
	unbind func() bool
}

// goodbye is how long a client that logs out waits for the server to close the connection.
const goodbye = 2 * time.Second

// dialer connects to the server of a scene, if it can from another address for a stranger.
type dialer func(ctx context.Context, stranger bool) (net.Conn, error)

// connect connects and reads the greeting. The connection is closed when ctx is done.
func connect(ctx context.Context, dial dialer, stranger bool) (*client, error) {
	conn, err := dial(ctx, stranger)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, reader: bufio.NewReader(conn)}
	c.unbind = context.AfterFunc(ctx, func() { conn.Close() })
	greeting, err := c.reader.ReadString('\n')
	if err == nil && !strings.HasPrefix(greeting, "* OK ") {
		err = &refusal{"greeting", strings.TrimSpace(greeting)}
	}
	if err != nil {
		c.hangUp()
		return nil, err
	}
	return c, nil
}

// login connects and logs in.
func login(ctx context.Context, dial dialer, user string) (*client, error) {
	c, err := connect(ctx, dial, false)
	if err != nil {
		return nil, err
	}
	if err := c.do("LOGIN " + user + " " + password); err != nil {
		c.hangUp()
		return nil, err
	}
	return c, nil
}

// loginAndSelect connects, logs in and selects INBOX.
func loginAndSelect(ctx context.Context, dial dialer, user string) (*client, error) {
	c, err := login(ctx, dial, user)
	if err != nil {
		return nil, err
	}
	if err := c.do("SELECT INBOX"); err != nil {
		c.hangUp()
		return nil, err
	}
	return c, nil
}

// do sends a command and waits for its answer. If the answer is not OK, the error is a refusal.
func (c *client) do(command string) error {
	const tag = "a "
	if _, err := io.WriteString(c.conn, tag+command+"\r\n"); err != nil {
		return err
	}
	for {
		line, err := c.reader.ReadString('\n')
		if err != nil {
			return err
		}
		answer, tagged := strings.CutPrefix(line, tag)
		switch {
		case !tagged:
		case strings.HasPrefix(answer, "OK "):
			return nil
		default:
			return &refusal{command, strings.TrimSpace(answer)}
		}
	}
}

// hangUp closes the connection without a LOGOUT.
func (c *client) hangUp() {
	c.unbind()
	c.conn.Close()
}

// logout logs out, and waits until the server has closed the connection.
func (c *client) logout() {
	defer c.hangUp()
	c.conn.SetDeadline(time.Now().Add(goodbye))
	if c.do("LOGOUT") == nil {
		io.Copy(io.Discard, c.conn)
	}
}

// refusal is an answer other than OK.
type refusal struct{ command, answer string }

func (r *refusal) Error() string { return fmt.Sprintf("%s: %s", r.command, r.answer) }
