"""RuntimeConformance: all cases as one class that pytest (asyncio mode auto) can run."""

from penstock.testing.conformance.cancels import CancelCases
from penstock.testing.conformance.conversation import ConversationCases
from penstock.testing.conformance.failures import FailureCases
from penstock.testing.conformance.isolation import IsolationCases
from penstock.testing.conformance.outputs import OutputCases


class RuntimeConformance(ConversationCases, OutputCases, FailureCases, CancelCases, IsolationCases):
    """A new adapter's whole test:

    class TestMyRuntime(RuntimeConformance):
        adapter = MyRuntime
        distribution = "my-runtime"
    """
