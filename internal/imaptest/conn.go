package imaptest

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// Conn is a client that sends and reads lines, and nothing more than it is told to. When something
// cannot be read or written the test fails but goes on, so that it can be used from any goroutine.
type Conn struct {
	net.Conn
	t      testing.TB
	reader *bufio.Reader
}

// NewConn returns a client on a connection of any kind, which is closed when the test ends.
func NewConn(t testing.TB, conn net.Conn) *Conn {
	t.Cleanup(func() { conn.Close() })
	return &Conn{Conn: conn, t: t, reader: bufio.NewReader(conn)}
}

// DialTCP connects to an address, and reads the greeting.
func DialTCP(t testing.TB, address string) *Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := NewConn(t, conn)
	c.Line()
	return c
}

// Send writes the lines in one piece, each with a CRLF.
func (c *Conn) Send(lines ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		c.t.Errorf("send %q: %v", lines, err)
	}
}

// Line reads one line and returns it without its CRLF. A literal at its end is read too, with the
// rest of the response.
func (c *Conn) Line() string {
	c.t.Helper()
	line, err := c.line()
	if err != nil {
		c.t.Errorf("read a line: %v (after %q)", err, line)
	}
	return line
}

func (c *Conn) line() (string, error) {
	line, err := c.reader.ReadString('\n')
	line = strings.TrimSuffix(line, "\r\n")
	size, ok := literal(line)
	if err != nil || !ok {
		return line, err
	}
	body := make([]byte, size)
	if n, err := io.ReadFull(c.reader, body); err != nil {
		return line + "\r\n" + string(body[:n]), err
	}
	rest, err := c.line()
	return line + "\r\n" + string(body) + rest, err
}

// literal returns n if the line ends in {n}.
func literal(line string) (int, bool) {
	open := strings.LastIndexByte(line, '{')
	if open < 0 || !strings.HasSuffix(line, "}") {
		return 0, false
	}
	size, err := strconv.Atoi(line[open+1 : len(line)-1])
	return size, err == nil && size >= 0
}

// Cmd sends a command and returns the lines of its answer, up to the one with its tag, or to the
// end of the connection.
func (c *Conn) Cmd(command string) []string {
	c.t.Helper()
	c.Send(command)
	tag, _, _ := strings.Cut(command, " ")
	return c.Answer(tag)
}

// Answer reads up to the line with the tag, or to the end of the connection.
func (c *Conn) Answer(tag string) []string {
	c.t.Helper()
	var lines []string
	for {
		line, err := c.line()
		if err != nil {
			c.t.Errorf("answer to %s: %v (after %q)", tag, err, lines)
			return lines
		}
		lines = append(lines, line)
		if strings.HasPrefix(line, tag+" ") {
			return lines
		}
	}
}

// Rest reads until the server closes the connection, and returns the lines.
func (c *Conn) Rest() []string {
	var lines []string
	for {
		line, err := c.line()
		if line != "" {
			lines = append(lines, line)
		}
		if err != nil {
			return lines
		}
	}
}

// Last returns the last line of an answer without its tag: "OK …", "NO …" or "BAD …".
func Last(answer []string) string {
	if len(answer) == 0 {
		return ""
	}
	_, text, _ := strings.Cut(answer[len(answer)-1], " ")
	return text
}

// IsOK tells whether the answer ends in a tagged OK.
func IsOK(answer []string) bool { return strings.HasPrefix(Last(answer), "OK ") }
