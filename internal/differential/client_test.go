package differential_test

import (
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// client is a connection that keeps what the server sends.
type client struct {
	conn net.Conn

	mu     sync.Mutex
	heard  strings.Builder
	closed bool

	loggedIn bool
	rev2     bool     // it has enabled IMAP4rev2
	idle     *op      // the IDLE that it has sent and not ended
	idling   bool     // the server has agreed to the IDLE
	held     []string // received and not recorded yet
	view     view
}

func (c *client) listen() {
	buf := make([]byte, 4096)
	for {
		n, err := c.conn.Read(buf)
		c.mu.Lock()
		c.heard.Write(buf[:n])
		c.closed = err != nil
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// take returns the responses that have come since the last call.
func (c *client) take() (heard []string, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	heard = responses(c.heard.String())
	c.heard.Reset()
	return heard, c.closed
}

var flagList = regexp.MustCompile(`FLAGS \([^)]+\)`)

// responses splits what a server has said into responses, with their literals. It sorts the flags
// of each FETCH, because imapmemserver keeps them in a map.
func responses(said string) []string {
	var all []string
	response := ""
	for said != "" {
		end := strings.IndexByte(said, '\n') + 1
		if end == 0 {
			end = len(said)
		}
		line := said[:end]
		said = said[end:]
		if strings.HasPrefix(response+line, "* ") && strings.Contains(response+line, " FETCH (") {
			line = flagList.ReplaceAllStringFunc(line, sortFlags)
		}
		response += line
		if size, ok := announced(line); ok {
			size = min(size, len(said))
			response += said[:size]
			said = said[size:]
			continue
		}
		all = append(all, response)
		response = ""
	}
	if response != "" {
		all = append(all, response)
	}
	return all
}

// announced returns the size of the literal that follows the line.
func announced(line string) (size int, ok bool) {
	line, ok = strings.CutSuffix(line, "}\r\n")
	if !ok {
		return 0, false
	}
	size, err := strconv.Atoi(line[strings.LastIndexByte(line, '{')+1:])
	return size, err == nil
}

func sortFlags(list string) string {
	flags := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(list, "FLAGS ("), ")"))
	slices.Sort(flags)
	return "FLAGS (" + strings.Join(flags, " ") + ")"
}
