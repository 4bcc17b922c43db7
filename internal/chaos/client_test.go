package chaos_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
)

var errHungUp = errors.New("the client has hung up")

// client does random things on one connection after another. Its methods return an error when the
// connection is closed.
type client struct {
	net.Conn
	t    testing.TB
	unit time.Duration
	// how long it waits for an answer or the end of its connection: more than anything in the stack
	// takes
	patience time.Duration
	dice     *rand.Rand
	user     string
	leaving  func(address string) // called before it closes

	reader *bufio.Reader
	tags   int
}

// live connects again and again until the context is done.
func (c *client) live(ctx context.Context, dial func(ip int) (net.Conn, error)) {
	for pause(ctx, c.upTo(4*c.unit)) {
		conn, err := dial(c.dice.IntN(8))
		if err != nil {
			continue // the server is full, or there are no sockets for a moment
		}
		c.Conn, c.reader = conn, bufio.NewReader(conn)
		stop := context.AfterFunc(ctx, func() { c.close(conn) })
		if err := c.converse(ctx); err == nil {
			c.part()
		}
		stop()
		c.hangUp()
	}
}

func (c *client) converse(ctx context.Context) error {
	if c.one(30) {
		return nil // it hangs up before the greeting
	}
	if _, err := c.line(); err != nil {
		return err
	}
	if c.one(20) {
		pause(ctx, c.upTo(8*c.unit)) // perhaps longer than LoginTimeout
	}
	for range 4 {
		in, err := c.logIn()
		if err != nil {
			return err
		}
		if in {
			break
		}
	}
	if !c.one(4) {
		if _, err := c.commands("SELECT " + c.mailbox()); err != nil {
			return err
		}
	}
	for !c.one(25) && pause(ctx, c.upTo(c.unit)) {
		if err := c.act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// logIn reports whether the client is logged in now.
func (c *client) logIn() (bool, error) {
	user, password := c.spelled(), "pass"
	switch {
	case c.one(8):
		password = "wrong"
	case c.one(20):
		user = "nobody"
	}
	if c.one(2) {
		answer, err := c.commands(fmt.Sprintf("LOGIN %s %s", user, password))
		return strings.HasPrefix(answer, "OK"), err
	}
	tag := c.tag()
	if err := c.send(tag + " AUTHENTICATE PLAIN\r\n"); err != nil {
		return false, err
	}
	answer, err := c.answer(tag)
	if err != nil || answer != "+" {
		return false, err
	}
	if c.one(30) {
		return false, c.silence(4 * c.unit)
	}
	exchange := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	if c.one(10) {
		exchange = c.oneOf("*", "???", exchange[:5])
	}
	if err := c.send(exchange + "\r\n"); err != nil {
		return false, err
	}
	answer, err = c.answer(tag)
	return strings.HasPrefix(answer, "OK"), err
}

// spelled returns the user's name in a random case.
func (c *client) spelled() string {
	return c.oneOf(
		c.user, c.user, c.user, strings.ToUpper(c.user), strings.ToUpper(c.user[:1])+c.user[1:],
	)
}

// part closes the connection in one of the ways that a client can.
func (c *client) part() {
	switch c.dice.IntN(4) {
	case 0:
		c.commands("LOGOUT")
	case 1:
		c.halfClose()
	case 2:
		c.reset()
	}
}

// halfClose stops sending, and reads what still comes.
func (c *client) halfClose() error {
	conn, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	c.leaving(c.LocalAddr().String())
	conn.CloseWrite()
	c.SetReadDeadline(time.Now().Add(c.patience))
	_, err := io.Copy(io.Discard, c.reader)
	c.blame(err, "the end of the connection")
	return errHungUp
}

// reset makes Close send a RST, if the connection can do that.
func (c *client) reset() error {
	if conn, ok := c.Conn.(*net.TCPConn); ok {
		conn.SetLinger(0)
	}
	c.hangUp()
	return errHungUp
}

func (c *client) hangUp() { c.close(c.Conn) }

func (c *client) close(conn net.Conn) {
	c.leaving(conn.LocalAddr().String())
	conn.Close()
}

// leave hangs up during a command, after a random time.
func (c *client) leave() error {
	c.silence(c.upTo(3 * c.unit))
	switch c.dice.IntN(3) {
	case 0:
		return c.reset()
	case 1:
		return c.halfClose()
	default:
		c.hangUp()
		return errHungUp
	}
}

// silence sends and reads nothing.
func (c *client) silence(d time.Duration) error {
	pause(context.Background(), d)
	return nil
}

// commands sends all of them at once. It returns the answer to the last one without its tag.
func (c *client) commands(commands ...string) (answer string, err error) {
	var lines strings.Builder
	tag := ""
	for _, command := range commands {
		tag = c.tag()
		lines.WriteString(tag + " " + command + "\r\n")
	}
	if err := c.send(lines.String()); err != nil {
		return "", err
	}
	return c.answer(tag)
}

func (c *client) tag() string {
	c.tags++
	return fmt.Sprintf("t%d", c.tags)
}

func (c *client) send(text string) error {
	c.SetWriteDeadline(time.Now().Add(c.patience))
	_, err := io.WriteString(c.Conn, text)
	c.blame(err, "its bytes to be taken")
	return err
}

// answer reads up to the line with the tag, and returns the rest of that line. If the server asks
// for more before, it returns "+".
func (c *client) answer(tag string) (string, error) {
	for {
		line, err := c.line()
		if err != nil {
			return "", err
		}
		if text, ok := strings.CutPrefix(line, tag+" "); ok {
			return text, nil
		}
		if strings.HasPrefix(line, "+ ") {
			return "+", nil
		}
	}
}

func (c *client) line() (string, error) {
	c.SetReadDeadline(time.Now().Add(c.patience))
	line, err := c.reader.ReadString('\n')
	c.blame(err, "an answer")
	return line, err
}

// blame reports what a client has waited for in vain.
func (c *client) blame(err error, what string) {
	if netErr := net.Error(nil); errors.As(err, &netErr) && netErr.Timeout() {
		c.t.Errorf("a client of %s has waited %v for %s", c.user, c.patience, what)
	}
}

func (c *client) upTo(d time.Duration) time.Duration {
	return time.Duration(c.dice.Int64N(int64(d)))
}

func (c *client) one(in int) bool { return c.dice.IntN(in) == 0 }

func (c *client) oneOf(texts ...string) string { return texts[c.dice.IntN(len(texts))] }
